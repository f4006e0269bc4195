// What every service of the engine is built on, passed by reference; owned by Engine.
#pragma once

#include <memory>
#include <string>

#include "async/task.h"
#include "async/worker_pool.h"
#include "engine/events.h"
#include "engine/settings.h"
#include "storage/driver.h"
#include "storage/layer_store.h"

namespace berth::engine {

/// The opened layer store and how root file systems are made of it.
struct Storage final {
    storage::DriverChoice driver;
    storage::LayerStore layers;
};

struct Context final {
    async::Executor executor;
    const Settings& settings;
    async::WorkerPool& pool;
    async::TaskGroup& tasks;
    Events& events;
    const Storage& storage;
};

}  // namespace berth::engine
