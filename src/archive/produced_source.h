// Turns a writer round: what a function pushes into a sink, on a thread of its own, is read here.
// The queue between both is a pipe; SIGPIPE must be ignored. The destructor ends the function's
// writes with an error and waits for it.
#pragma once

#include <exception>
#include <functional>
#include <thread>

#include "archive/stream.h"

namespace berth::archive {

class ProducedSource final : public Source {
  public:
    explicit ProducedSource(std::function<void(Sink&)> produce);
    ~ProducedSource() override;
    /// Rethrows what the function threw, after the bytes that came before.
    std::size_t read(std::span<char> buffer) override;

  private:
    UniqueFd from_;
    std::exception_ptr failure_;  // of the thread; read after it ended
    std::thread thread_;
};

}  // namespace berth::archive
