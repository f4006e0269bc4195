#include "base/digest.h"

#include "base/error.h"
#include "base/id.h"

namespace berth {

bool Digest::is_valid(std::string_view text) {
    return text.starts_with(kPrefix) && is_hex_id(text.substr(kPrefix.size()));
}

Digest Digest::parse(std::string_view text) {
    if (!is_valid(text))
        throw Error(ErrorKind::invalid,
                    "'{}' is not a digest: expected sha256: and 64 hexadecimal digits", text);
    return Digest(std::string(text));
}

Digest Digest::from_hex(std::string_view hex) {
    return parse(std::string(kPrefix) + std::string(hex));
}

}  // namespace berth
