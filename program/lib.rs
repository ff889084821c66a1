// SPDX-License-Identifier: MIT OR Apache-2.0

//! The programs are in examples/.
