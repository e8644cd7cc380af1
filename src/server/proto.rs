//! What build.rs made of `proto/`: messages, server and client. The documentation of each item is the proto's own comment.

// Generated code follows the generators' taste, not ours.
#![allow(missing_docs, unused_qualifications, clippy::all, rustdoc::all)]

tonic::include_proto!("paidan.v1");

/// All of `proto/` and what it imports, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("paidan_descriptor");

/// What a proto linter would look at, so that it stays silent: comments everywhere, names as Google's design guide has them.
#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::{FileDescriptorProto, FileDescriptorSet, field_descriptor_proto::Type};

    fn files() -> Vec<FileDescriptorProto> {
        let set = FileDescriptorSet::decode(super::FILE_DESCRIPTOR_SET).expect("descriptors");
        let ours: Vec<_> = set.file.into_iter().filter(|file| file.package() == "paidan.v1").collect();
        assert_eq!(ours.len(), 4, "routing, rulings, disputes and catalog");
        ours
    }

    /// Path of a descriptor in its file, as protobuf's source info writes it, and its name.
    fn everything(file: &FileDescriptorProto) -> Vec<(Vec<i32>, String)> {
        let mut all = Vec::new();
        let number = |index: usize| i32::try_from(index).expect("a short file");
        for (s, service) in file.service.iter().enumerate() {
            all.push((vec![6, number(s)], service.name().to_owned()));
            for (m, method) in service.method.iter().enumerate() {
                all.push((vec![6, number(s), 2, number(m)], method.name().to_owned()));
            }
        }
        for (m, message) in file.message_type.iter().enumerate() {
            all.push((vec![4, number(m)], message.name().to_owned()));
            for (f, field) in message.field.iter().enumerate() {
                all.push((vec![4, number(m), 2, number(f)], format!("{}.{}", message.name(), field.name())));
            }
        }
        for (e, one) in file.enum_type.iter().enumerate() {
            all.push((vec![5, number(e)], one.name().to_owned()));
            for (v, value) in one.value.iter().enumerate() {
                all.push((vec![5, number(e), 2, number(v)], value.name().to_owned()));
            }
        }
        all
    }

    #[test]
    fn everything_has_a_comment_and_every_field_says_who_sets_it() {
        for file in files() {
            check_comments(&file);
        }
    }

    fn check_comments(file: &FileDescriptorProto) {
        let locations = &file.source_code_info.as_ref().expect("source info").location;
        for (path, name) in everything(file) {
            let location = locations.iter().find(|location| location.path == path);
            let comment = location.map_or("", |location| location.leading_comments()).trim();
            assert!(!comment.is_empty(), "{name} has no comment");
            if name.contains('.') {
                let said = ["Required. ", "Optional. ", "Output only. "].iter().any(|word| comment.starts_with(word));
                assert!(said, "{name}: {comment}");
            }
        }
    }

    #[test]
    fn names_are_as_the_design_guide_has_them() {
        for file in files() {
            check_names(&file);
        }
    }

    fn check_names(file: &FileDescriptorProto) {
        for one in &file.enum_type {
            let prefix: String = one
                .name()
                .chars()
                .flat_map(|c| c.is_uppercase().then_some('_').into_iter().chain([c.to_ascii_uppercase()]))
                .collect();
            let prefix = format!("{}_", prefix.trim_start_matches('_'));
            assert_eq!((one.value[0].name(), one.value[0].number()), (format!("{prefix}UNSPECIFIED").as_str(), 0));
            assert!(one.value.iter().all(|value| value.name().starts_with(&prefix)), "{one:?}");
        }
        for method in file.service.iter().flat_map(|service| &service.method) {
            assert_eq!(method.input_type(), format!(".paidan.v1.{}Request", method.name()));
            assert_eq!(method.output_type(), format!(".paidan.v1.{}Response", method.name()));
        }
        for field in file.message_type.iter().flat_map(|message| &message.field) {
            let name = field.name();
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'), "{name}");
            // Words that the guide bans or gives a type.
            assert!(
                !name.split('_').any(|word| ["at", "of", "for", "in", "by", "with", "from", "to"].contains(&word)),
                "{name}"
            );
            assert_eq!(name.ends_with("_time"), field.type_name() == ".google.protobuf.Timestamp", "{name}");
            let unsigned = [Type::Uint32, Type::Uint64, Type::Fixed32, Type::Fixed64].contains(&field.r#type());
            assert!(!unsigned, "{name}: several languages have no unsigned numbers");
        }
    }
}
