// The Engine API as the commands use it: JSON in and out, and an API error as our Error, its
// message being the engine's own. Blocking; one object uses one connection at a time.
#pragma once

#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "http/client.h"

namespace berth::cli {

/// Whether an engine answers a ping within `patience`. Behind a socket unit a connection alone says
/// nothing: systemd accepts it, starts the engine, and that may fail.
bool answers(const std::string& host, std::chrono::milliseconds patience);

class EngineClient final {
  public:
    explicit EngineClient(const std::string& host) : client_(host) {}

    /// Throws Error of the kind that belongs to the status for any answer of 400 and above.
    http::ClientResponse send(const http::ClientRequest& request);
    nlohmann::json get(const std::string& path);
    /// Posts `body` (null: none) and returns the JSON answer, null when there is none.
    nlohmann::json post(const std::string& path, const nlohmann::json& body);
    void remove(const std::string& path);
    /// Takes the connection over for a stream: attach and exec start.
    http::Upgraded hijack(const std::string& path, const nlohmann::json& body);
    const std::string& host() const { return client_.address(); }

  private:
    http::Client client_;
};

}  // namespace berth::cli
