// Reads the host's small text files (/proc, /sys, /etc) below a root directory, so that tests can
// offer a host of their own. What cannot be read counts as absent: a missing fact is reported by
// the check that needs it, never by an exception.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace berth::rootlesskit {

class HostFiles final {
  public:
    /// `root` is put before every path; empty: the host itself.
    explicit HostFiles(std::string root = "") : root_(std::move(root)) {}

    std::string text(const std::string& path) const;
    std::optional<std::int64_t> number(const std::string& path) const;
    /// /proc/sys/NAME, "net/ipv4/ip_forward".
    std::optional<std::int64_t> kernel_switch(const std::string& name) const;
    bool has(const std::string& path) const;

  private:
    std::string root_;
};

}  // namespace berth::rootlesskit
