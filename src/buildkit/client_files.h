// What a build gets from its client over the session: directories, single files, an uploaded
// archive. Each transfer is a step of the progress.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "buildkit/job.h"
#include "buildkit/messages.h"

namespace berth::buildkit {

using ContextPointer = std::shared_ptr<const engine::BuildContext>;

/// Small files of a directory by name; those that are not there are left out.
async::Task<Attributes> read_files(std::shared_ptr<Job> job, std::string directory,
                                   std::vector<std::string> names, Vertex vertex,
                                   std::string transfer);

/// All of a directory, but for what the patterns name. `title` is the step's.
async::Task<ContextPointer> fetch_directory(std::shared_ptr<Job> job, std::string directory,
                                            std::vector<std::string> ignored, std::string title);
/// The archive of `docker build -`, and the Dockerfile in it.
async::Task<ContextPointer> fetch_upload(std::shared_ptr<Job> job);

}  // namespace berth::buildkit
