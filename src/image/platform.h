// Which platform of a manifest list to take. Pure, but for host_platform().
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "oci/image_spec.h"

namespace berth::image {

/// "linux/amd64" and so on, of this machine.
oci::Platform host_platform();
/// "linux/arm64/v8", "arm64", "linux/x86_64"; empty gives the host's. Throws Error{invalid}.
oci::Platform parse_platform(std::string_view text);
/// The same of a request's platform, of which an empty one is any.
std::optional<oci::Platform> wanted_platform(const std::string& text);
/// True when an image of `offered` runs where `wanted` is asked for.
bool is_compatible(const oci::Platform& wanted, const oci::Platform& offered);
/// Throws Error{not_found} with Docker's text when the image that `name` found is not for `wanted`;
/// nothing is any.
void check_platform(const std::string& name, const oci::Platform& found,
                    const std::optional<oci::Platform>& wanted);
/// The best entry: exact, else the nearest compatible variant; attestations (unknown/unknown) are
/// skipped. Throws Error{not_found} with Docker's text.
const oci::Descriptor& select_manifest(const oci::ImageIndex& index, const oci::Platform& wanted);

}  // namespace berth::image
