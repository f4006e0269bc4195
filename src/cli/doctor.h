// `berth doctor`: gathers facts of the host, of systemd and of the engine, judges each on its own
// and prints the list. The judgement of the host is rootlesskit's.
#pragma once

#include <string>
#include <vector>

#include "rootlesskit/finding.h"

namespace berth::cli {

/// "degraded  ports: cause" and an indented "mend: command" for each command; ends in a newline.
std::string text_of(const rootlesskit::Finding& finding);
/// What has to be there before an engine can start, tried for real.
std::vector<rootlesskit::Finding> examine_prerequisites();

}  // namespace berth::cli
