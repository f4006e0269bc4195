// API versions as they stand in a path ("/v1.43/..."), and the range that is served. Pure.
#pragma once

#include <compare>
#include <string>
#include <string_view>

namespace berth::api {

struct ApiVersion final {
    int major = 0;
    int minor = 0;
    auto operator<=>(const ApiVersion&) const = default;
    std::string str() const;
    /// "1.43"; missing parts are 0.
    static ApiVersion parse(std::string_view text);
};

constexpr ApiVersion kNewest{1, 51};
constexpr ApiVersion kOldest{1, 24};

struct VersionedPath final {
    ApiVersion version = kNewest;
    std::string_view path;  // without the prefix; borrows
};

/// Takes the version prefix off; a path without one is of the newest version.
VersionedPath split_version(std::string_view path);
/// The version whose shapes a client of that name gets, where it asks for `asked`. docker-compose 1
/// asks for the newest that is served, and makes no service anew with one past 1.44: it reads the
/// ContainerConfig of images, which was dropped then.
ApiVersion shape_for(std::string_view user_agent, ApiVersion asked);
/// Throws Error{invalid} with Docker's text for a version outside the range.
void check_version(ApiVersion version, ApiVersion oldest = kOldest);

}  // namespace berth::api
