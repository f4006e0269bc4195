// A path as the address of a Unix socket.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <string>

#include "base/unique_fd.h"

namespace berth::linux_os {

class UnixAddress final {
  public:
    /// What an address holds, in bytes. A longer path is named through a descriptor of its
    /// directory, so the address serves as long as this object lives.
    static constexpr std::size_t kMaxPath = sizeof(sockaddr_un::sun_path) - 1;

    /// Throws Error.
    explicit UnixAddress(const std::string& path);

    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address_); }
    static constexpr socklen_t length() { return sizeof(sockaddr_un); }

  private:
    UniqueFd directory_;
    sockaddr_un address_{};
};

}  // namespace berth::linux_os
