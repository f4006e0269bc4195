// The checks of a job's Dockerfile, and what a client may ask of it instead of a build.
#pragma once

#include <string>

#include "buildkit/job.h"

namespace berth::buildkit {

/// Tells the warnings. Throws Error{invalid} where the Dockerfile makes errors of them.
void check_dockerfile(const Job& job, const std::string& text);

/// The answer to job.options.subrequest: metadata of a result.
Attributes answer_subrequest(const Job& job, std::string text);

}  // namespace berth::buildkit
