// GET /info and GET /version. Engine thread only.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "async/task.h"

namespace berth::engine {

struct SystemDependencies;

/// The Docker release whose behaviour is served; several clients compare it.
constexpr const char* kDockerVersion = "28.5.2";
constexpr const char* kApiVersion = "1.51";

class System final {
  public:
    explicit System(SystemDependencies dependencies);
    ~System();
    System(const System&) = delete;
    System& operator=(const System&) = delete;

    nlohmann::json info() const;
    nlohmann::json version() const;
    /// One line for the service manager: "Running: 3 containers, 5 images".
    std::string status() const;

  private:
    std::unique_ptr<SystemDependencies> dependencies_;
};

}  // namespace berth::engine
