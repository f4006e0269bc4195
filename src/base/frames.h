// Docker's multiplexed stream, as clients and the engine itself read it: each piece of output is
// preceded by eight bytes with its stream and size. Pure.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace berth {

/// The eight bytes before a piece of output: stream 1 is standard output, 2 standard error.
std::string frame_header(unsigned char stream, std::size_t length);

/// Splits a multiplexed stream (8-byte headers) into standard output and error as bytes come.
class FrameSplitter final {
  public:
    using Sink = std::function<void(int stream, std::string_view bytes)>;
    explicit FrameSplitter(Sink sink) : sink_(std::move(sink)) {}
    /// Throws Error{invalid} on a header that is none.
    void feed(std::string_view bytes);

  private:
    Sink sink_;
    std::string header_;
    std::size_t left_ = 0;
    int stream_ = 1;
};

}  // namespace berth
