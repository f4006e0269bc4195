// Sends the files of a directory to the client (FileSend.DiffCopy): descriptions in the order of a
// walk, then the content of what the client asks for. Reading is a worker's.
#pragma once

#include <memory>

#include "async/worker_pool.h"
#include "engine/build/build.h"
#include "grpc/connection.h"

namespace berth::buildkit {

async::Task<> send_files(grpc::Call call, async::WorkerPool& pool,
                         std::shared_ptr<const engine::BuildContext> tree);

}  // namespace berth::buildkit
