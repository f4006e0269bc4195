// Finds a client's detach keys in what it types. Keys that turn out not to be the sequence are
// forwarded, in order. Pure.
#pragma once

#include <string>
#include <string_view>

namespace berth::shim {

class DetachScanner final {
  public:
    /// `keys` are the bytes of the sequence; empty: nothing detaches.
    explicit DetachScanner(std::string keys) : keys_(std::move(keys)) {}

    struct Result final {
        std::string forward;    // what goes to the process
        bool detached = false;  // the sequence is complete; what followed it is dropped
    };
    Result scan(std::string_view typed);
    bool active() const { return !keys_.empty(); }

  private:
    std::string keys_;
    std::string held_;  // a proper prefix of keys_
};

}  // namespace berth::shim
