// Base64 as it occurs in registry credentials and certificates. Pure.
#pragma once

#include <string>
#include <string_view>

namespace berth {

/// Both alphabets, padding optional. Throws Error{invalid}.
std::string decode_base64(std::string_view text);
/// The standard alphabet, padded.
std::string encode_base64(std::string_view bytes);
/// The alphabet for URLs and headers, padded.
std::string encode_base64url(std::string_view bytes);

}  // namespace berth
