// GET /containers/X/logs: a LogReader with following. Engine thread only.
#pragma once

#include "engine/containers/state.h"

namespace berth::engine {

/// `kind` by the container's terminal when it is not given.
std::unique_ptr<LogStream> open_log(ContainerState& state, const Container& container,
                                    const LogRequest& request,
                                    std::optional<StreamKind> kind = std::nullopt);

}  // namespace berth::engine
