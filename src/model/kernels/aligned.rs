//! Memory that begins at a cache line: a vector that straddles two lines costs two loads.

/// Bytes of a cache line.
pub const CACHE_LINE: usize = 64;

/// A cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

// SAFETY: 64 bytes, aligned to 64: no padding, and every bit pattern is one of u8.
#[allow(unsafe_code)]
unsafe impl bytemuck::Zeroable for Line {}
// SAFETY: as above; `Line` is `Copy` and owns nothing.
#[allow(unsafe_code)]
unsafe impl bytemuck::Pod for Line {}

/// Bytes that begin at a cache line. They grow and are used again, never given back: what a thread needs for one batch it will
/// need for the next.
#[derive(Clone, Default)]
pub struct Aligned {
    lines: Vec<Line>,
    bytes: usize,
}

impl Aligned {
    /// `bytes` zeros.
    pub fn zeroed(bytes: usize) -> Self {
        Self { lines: vec![Line([0; 64]); bytes.div_ceil(64)], bytes }
    }

    /// Makes it `bytes` long; what it holds afterwards is not said.
    pub fn resize(&mut self, bytes: usize) {
        if self.lines.len() < bytes.div_ceil(64) {
            self.lines.resize(bytes.div_ceil(64), Line([0; 64]));
        }
        self.bytes = bytes;
    }

    /// Makes it as long as `count` f32 or i32; what it holds afterwards is not said.
    pub fn resize_words(&mut self, count: usize) -> &mut [f32] {
        self.resize(count * 4);
        self.floats_mut()
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.lines)[..self.bytes]
    }

    /// Its bytes, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.bytes]
    }

    /// As f32; bytes beyond the last whole one are left out.
    pub fn floats(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.lines)[..self.bytes / 4]
    }

    /// As f32, to be written.
    pub fn floats_mut(&mut self) -> &mut [f32] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.bytes / 4]
    }

    /// As u32; bytes beyond the last whole one are left out.
    pub fn words(&self) -> &[u32] {
        &bytemuck::cast_slice(&self.lines)[..self.bytes / 4]
    }

    /// As u32, to be written.
    pub fn words_mut(&mut self) -> &mut [u32] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.bytes / 4]
    }
}
