// Pulls a source on a thread of its own into a bounded queue of blocks, so that inflating and
// hashing run beside the reader. The destructor stops the thread after the read it is in.
#pragma once

#include <memory>

#include "archive/stream.h"

namespace berth::archive {

class ReadAheadSource final : public Source {
  public:
    /// From now on only this object's thread reads `below`, until finished or destroyed.
    explicit ReadAheadSource(Source& below);
    ~ReadAheadSource() override;
    /// Rethrows what the source below threw, after the bytes that came before.
    std::size_t read(std::span<char> buffer) override;

  private:
    struct Queue;
    std::unique_ptr<Queue> queue_;
};

}  // namespace berth::archive
