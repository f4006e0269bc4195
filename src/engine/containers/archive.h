// `docker cp`: what a path in a container is, what is there as a tar, and a tar put there. Engine
// thread; the work is done by threads of its own. The error of an absent path is Docker's.
#pragma once

#include <stop_token>
#include <string>

#include "engine/containers/state.h"

namespace berth::engine {

async::Task<PathStat> stat_path(ContainerState& state, ContainerPtr container, std::string ref,
                                std::string path);
/// Finds the path; nothing is read yet.
async::Task<OpenedArchive> open_archive(ContainerState& state, ContainerPtr container,
                                        std::string ref, std::string path);
/// Once for each that was opened.
async::Task<void> send_archive(ContainerState& state, std::shared_ptr<ContainerArchive> archive,
                               UniqueFd into, std::stop_token stop);
async::Task<void> put_archive(ContainerState& state, ContainerPtr container, std::string ref,
                              ArchivePut request, UniqueFd tar, std::stop_token stop);
/// The whole root file system without what is mounted in it.
async::Task<void> export_root(ContainerState& state, ContainerPtr container, UniqueFd into,
                              std::stop_token stop);

}  // namespace berth::engine
