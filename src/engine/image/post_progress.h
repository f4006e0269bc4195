// Progress of image work on its way from a worker to the engine's thread.
#pragma once

#include "async/task.h"
#include "engine/images.h"
#include "image/progress.h"

namespace berth::engine {

/// Hands each line to `sink` on the executor, in order.
image::ProgressCallback post_progress(async::Executor executor, ProgressSink sink);

}  // namespace berth::engine
