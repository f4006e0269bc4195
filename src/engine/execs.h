// Further processes in running containers (docker exec). Engine thread only. Exec objects live
// until five minutes after their exit, or ten seconds after the container's removal. Errors: "No
// such exec instance: X" (not_found), 409 texts.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "async/task.h"
#include "base/unique_fd.h"
#include "engine/containers.h"

namespace berth::engine {

/// The body of POST /containers/{id}/exec.
struct ExecConfig final {
    bool attach_stdin = false, attach_stdout = false, attach_stderr = false;
    bool tty = false;
    bool privileged = false;
    std::vector<std::string> cmd;
    std::vector<std::string> env;
    std::string user;
    std::string working_dir;
    std::string detach_keys;
    std::optional<std::pair<std::uint32_t, std::uint32_t>> console_size;  // height, width
    /// Keys in any case. Throws Error{invalid}.
    static ExecConfig from_json(const nlohmann::json& body);
};

/// The body of POST /exec/{id}/start.
struct ExecStart final {
    bool detach = false;
    bool tty = false;
    std::optional<std::pair<std::uint32_t, std::uint32_t>> console_size;
    static ExecStart from_json(const nlohmann::json& body);
};

struct ExecState;

class Execs final {
  public:
    explicit Execs(ContainerState& containers);
    ~Execs();
    Execs(const Execs&) = delete;
    Execs& operator=(const Execs&) = delete;

    async::Task<std::string> create(std::string container, ExecConfig config);
    /// Once an exec, before one of the following two: what is refused before the connection is
    /// taken over. Gives the kind of its stream.
    async::Task<StreamKind> begin(std::string id, ExecStart request);
    /// Detach: returns when the process started; throws when it could not.
    async::Task<void> start_detached(std::string id);
    /// After the hijack: failures are written into the stream. Returns when the stream ended.
    async::Task<void> start_attached(std::string id, UniqueFd client, std::string early);
    /// Waits up to 10 s for the exec to start, while its container runs.
    async::Task<void> resize(std::string id, std::uint32_t height, std::uint32_t width);
    nlohmann::json inspect(const std::string& id) const;

  private:
    std::unique_ptr<ExecState> state_;
};

}  // namespace berth::engine
