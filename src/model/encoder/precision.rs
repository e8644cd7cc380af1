//! Which precision a model is served in, and by which kernels.

use std::fmt;
use std::str::FromStr;

use crate::model::kernels::{Element, Isa, Kernel};

/// What the encoder's products are computed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// f32 throughout: what the model was measured in.
    F32,
    /// Products of bf16, sums in f32.
    Bf16,
    /// Linear layers in int8, attention in the fastest of bf16, 16-bit integers and f32, the rest in f32.
    Int8,
}

impl Precision {
    /// Name in settings, replies and figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the configuration asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PrecisionSetting {
    /// int8 if the model passed the accuracy gate, otherwise f32.
    #[default]
    Auto,
    /// This one.
    Fixed(Precision),
}

impl fmt::Display for PrecisionSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Fixed(precision) => precision.fmt(f),
        }
    }
}

impl FromStr for PrecisionSetting {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "auto" => Ok(Self::Auto),
            "f32" => Ok(Self::Fixed(Precision::F32)),
            "bf16" => Ok(Self::Fixed(Precision::Bf16)),
            "int8" => Ok(Self::Fixed(Precision::Int8)),
            _ => Err(format!("precision \"{name}\" is none of auto, f32, bf16, int8")),
        }
    }
}

/// Precision and, for tests and comparisons, the best family of instructions that may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Setting {
    /// The precision.
    pub precision: PrecisionSetting,
    /// No family above this one; `None` for the best that there is.
    pub kernel: Option<Isa>,
}

impl Setting {
    /// This precision, on the best kernels.
    pub fn fixed(precision: Precision) -> Self {
        Self { precision: PrecisionSetting::Fixed(precision), kernel: None }
    }
}

/// Why a setting cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrecisionError {
    /// The processor cannot multiply bf16.
    #[error(
        "precision bf16 needs a processor with AVX-512 BF16 or AMX (and a kernel setting that allows it); use auto, f32 or int8"
    )]
    NoBf16,
    /// The weights have shapes that the encoder does not compute.
    #[error("{0}")]
    Weights(String),
}

/// The kernels that a model is packed for.
pub(super) struct Kernels {
    precision: Precision,
    linear: Kernel,
    attention: Kernel,
    exact: Kernel,
}

impl Kernels {
    /// Settles the setting: whether the model passed the accuracy gate, what the processor has.
    pub(super) fn choose(setting: Setting, passed: bool) -> Result<Self, PrecisionError> {
        let ceiling = setting.kernel.unwrap_or(Isa::Amx);
        let precision = match setting.precision {
            PrecisionSetting::Fixed(precision) => precision,
            PrecisionSetting::Auto if passed => Precision::Int8,
            PrecisionSetting::Auto => Precision::F32,
        };
        let (f32, bf16) = (Kernel::up_to(Element::F32, ceiling), Kernel::up_to(Element::Bf16, ceiling));
        let (int8, int16) = (Kernel::up_to(Element::Int8, ceiling), Kernel::up_to(Element::Int16, ceiling));
        let (Some(exact), Some(int8), Some(int16)) = (f32, int8, int16) else {
            return Err(PrecisionError::Weights("our own bug: not even a plain kernel".to_owned()));
        };
        let linear = match precision {
            Precision::F32 => exact,
            Precision::Bf16 => bf16.ok_or(PrecisionError::NoBf16)?,
            // Codes of a byte are multiplied as i16 by a family that has no product of bytes.
            Precision::Int8 if int16.isa() > int8.isa() => int16,
            Precision::Int8 => int8,
        };
        let attention = match precision {
            Precision::F32 => exact,
            Precision::Bf16 => linear,
            Precision::Int8 => {
                let fast = |kernel: &Kernel| kernel.outpaces_f32();
                bf16.filter(fast).or(Some(int16).filter(fast)).unwrap_or(exact)
            }
        };
        Ok(Self { precision, linear, attention, exact })
    }

    pub(super) fn precision(&self) -> Precision {
        self.precision
    }

    /// For the linear layers.
    pub(super) fn linear(&self) -> Kernel {
        self.linear
    }

    /// For scores and context.
    pub(super) fn attention(&self) -> Kernel {
        self.attention
    }

    /// What queries, keys and values are handed to it in.
    pub(super) fn projected(&self) -> Element {
        if self.attention.element() == Element::Bf16 { Element::Bf16 } else { Element::F32 }
    }

    /// f32, for what is small and matters.
    pub(super) fn exact(&self) -> Kernel {
        self.exact
    }
}

impl fmt::Display for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |kernel: Kernel| match kernel.element() {
            Element::F32 => "f32",
            Element::Bf16 => "bf16",
            Element::Int16 => "int16",
            Element::Int8 => "int8",
        };
        let slow = if self.precision == Precision::Bf16 && !self.linear.outpaces_f32() { " (f32 is faster here)" } else { "" };
        let (linear, attention) = (self.linear.isa(), self.attention.isa());
        write!(f, "{} on {linear}{slow}, attention {} on {attention}", self.precision, name(self.attention))
    }
}
