#include "api/version.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"

namespace berth::api {

std::string ApiVersion::str() const { return fmt::format("{}.{}", major, minor); }

ApiVersion ApiVersion::parse(std::string_view text) {
    ApiVersion version;
    const auto dot = std::min(text.find('.'), text.size());
    std::from_chars(text.data(), text.data() + dot, version.major);
    if (dot < text.size())
        std::from_chars(text.data() + dot + 1, text.data() + text.size(), version.minor);
    return version;
}

VersionedPath split_version(std::string_view path) {
    VersionedPath result;
    result.path = path;
    if (!path.starts_with("/v")) return result;
    const auto end = path.find_first_not_of("0123456789.", 2);
    if (end == std::string_view::npos || end == 2 || path[end] != '/') return result;
    result.version = ApiVersion::parse(path.substr(2, end - 2));
    result.path = path.substr(end);
    return result;
}

void check_version(ApiVersion version, ApiVersion oldest) {
    if (version < oldest)
        throw Error(ErrorKind::invalid,
                    "client version {} is too old. Minimum supported API version is {}, please "
                    "upgrade your client to a newer version",
                    version.str(), oldest.str());
    if (version > kNewest)
        throw Error(ErrorKind::invalid,
                    "client version {} is too new. Maximum supported API version is {}",
                    version.str(), kNewest.str());
}

}  // namespace berth::api
