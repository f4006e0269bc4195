// The query of POST /build as the builder's request, for either version of the route.
#pragma once

#include "api/call.h"
#include "engine/build/build.h"

namespace berth::api {

/// Throws Error{invalid}.
engine::BuildRequest build_request(const Call& call);

/// `version=2`: what BuildKit builds (build_buildkit.cc).
async::Task<> build_with_buildkit(Call& call);
async::Task<> cancel_build(Call& call);

}  // namespace berth::api
