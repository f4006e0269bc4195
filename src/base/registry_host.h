// Hosts of registries in the names that users give: of images, and of servers to log in to. Pure.
#pragma once

#include <string>
#include <string_view>

namespace berth {

/// The first part of an image's name when that is a registry's host ("localhost:5000/a"), not a
/// user's name at Docker Hub ("library/a"): empty then. It borrows `name`.
std::string_view registry_host_of(std::string_view name);

/// "https://example.com/v2/" -> "example.com"
std::string host_of_server(std::string_view server);

}  // namespace berth
