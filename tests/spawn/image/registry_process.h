// Debian's docker-registry on a free port of loopback, and skopeo to push to it.
#pragma once

#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "linux/pid_fd.h"

namespace berth::image::test {

/// Nothing when all programs are there, else what to install.
std::string missing_programs();

enum class RegistryAccess { open, password };

struct RegistryOptions final {
    std::string address = "127.0.0.1";
    std::string tls;   // lines of its configuration below http.tls; empty: plain HTTP
    std::string auth;  // below auth
};

class RegistryProcess final {
  public:
    /// Stores below `directory`; with a password it knows joe:secret. Ready when constructed.
    RegistryProcess(const std::string& directory, RegistryAccess access);
    RegistryProcess(const std::string& directory, const RegistryOptions& options);
    ~RegistryProcess();
    RegistryProcess(const RegistryProcess&) = delete;
    const std::string& host() const { return host_; }
    /// The file in which the registry keeps a blob.
    std::string blob_file(const std::string& hex) const;

  private:
    std::string directory_;
    std::string host_;
    UniqueFd log_;
    linux_os::PidFd process_;
    std::jthread drain_;  // ends with the process
};

/// Runs a program by its full path. Throws Error with what it printed unless it ends with 0.
void run_program(const std::vector<std::string>& arguments);
/// Runs `skopeo copy` with these arguments. Throws Error with what it printed.
void skopeo_copy(const std::vector<std::string>& arguments);

}  // namespace berth::image::test
