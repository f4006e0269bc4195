// GET /containers/X/logs for the log driver journald: journalctl reads the journal back, a child
// for each client (docs/decisions/journald.md). Engine thread only.
#pragma once

#include "engine/containers/log_reader.h"
#include "engine/containers/state.h"

namespace berth::engine {

enum class Follow { no, yes };

/// Throws Error{unsupported} where there is no journalctl.
std::unique_ptr<LogStream> open_journal_log(const ContainerPtr& container,
                                            const LogSelection& selection, Follow follow);

/// journalctl's arguments for the selection.
std::vector<std::string> journalctl_arguments(const std::string& id, const LogSelection& selection,
                                              Follow follow);

}  // namespace berth::engine
