#include "api/version.h"

#include <algorithm>
#include <charconv>
#include <climits>

#include "base/error.h"

namespace berth::api {

std::string ApiVersion::str() const { return fmt::format("{}.{}", major, minor); }

ApiVersion ApiVersion::parse(std::string_view text) {
    ApiVersion version;
    const auto dot = std::min(text.find('.'), text.size());
    // What does not fit is newer than anything.
    const auto number = [](const char* begin, const char* end) {
        int value = 0;
        const auto read = std::from_chars(begin, end, value);
        return read.ec == std::errc::result_out_of_range ? INT_MAX : value;
    };
    version.major = number(text.data(), text.data() + dot);
    if (dot < text.size()) version.minor = number(text.data() + dot + 1, text.data() + text.size());
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

ApiVersion shape_for(std::string_view user_agent, ApiVersion asked) {
    constexpr ApiVersion kCompose1{1, 44};
    return user_agent.starts_with("docker-compose/1.") ? std::min(asked, kCompose1) : asked;
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
