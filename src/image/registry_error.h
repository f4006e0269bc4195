// What registries and token services say when they refuse, in Docker's words. Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "image/transport.h"

namespace berth::image {

/// The first entry of {"errors":[{"code","message"}]} as Docker joins it, "manifest unknown:
/// manifest unknown"; `fallback` for any other body.
std::string complaint_text(const HttpResponse& response, std::string_view fallback);

/// Docker's text and kind for a refused pull. `name` is the familiar name of the repository, `what`
/// is "manifest for alpine:x" or the like. Error{unavailable} for what a second try may mend.
Error registry_error(const HttpResponse& response, const std::string& name,
                     const std::string& what);
/// The same for a refused push.
Error push_error(const HttpResponse& response, const std::string& what);

}  // namespace berth::image
