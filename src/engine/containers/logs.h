// GET /containers/X/logs: a LogReader with following. Engine thread only.
#pragma once

#include "engine/containers/state.h"

namespace berth::engine {

std::unique_ptr<LogStream> open_log(ContainerState& state, const Container& container,
                                    const LogRequest& request);

}  // namespace berth::engine
