// The composition root of the engine: builds the services, opens the stores, reconciles with what
// still runs, and stops all of it. Owned by main, used on the io_context's one thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>

#include "async/task.h"
#include "engine/build/build.h"
#include "engine/containers.h"
#include "engine/events.h"
#include "engine/execs.h"
#include "engine/housekeeping.h"
#include "engine/images.h"
#include "engine/networks.h"
#include "engine/settings.h"
#include "engine/system.h"
#include "engine/volumes.h"

namespace berth::engine {

class Engine final {
  public:
    Engine(boost::asio::io_context& io, Settings settings);
    ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    /// Opens stores, probes the storage, takes over containers that run. Throws Error. Serve the
    /// API after it returned.
    async::Task<void> start();
    /// Stops containers (unless live-restore) and ends background tasks.
    async::Task<void> shutdown();

    /// SIGHUP: takes over debug, labels, live-restore, the stop and shutdown timeouts, the default
    /// shm size and how registries are reached; `shown` are the attributes of the event.
    void reload(const Settings& wanted, std::map<std::string, std::string> shown);

    const Settings& settings() const;
    Containers& containers();
    Execs& execs();
    Images& images();
    Volumes& volumes();
    Networks& networks();
    Builder& builder();
    Housekeeping& housekeeping();
    Events& events();
    System& system();

  private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace berth::engine
