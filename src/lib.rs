pub mod backend;
pub mod gatys;
pub mod motion;
pub mod stylizer;
