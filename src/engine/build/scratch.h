// A directory for the files of one build, gone with this object. Its removal may take a while:
// let a worker hold the last reference.
#pragma once

#include <string>

namespace berth::engine {

class ScratchDirectory final {
  public:
    /// In `builds`, which is made when absent.
    explicit ScratchDirectory(const std::string& builds);
    ~ScratchDirectory();
    ScratchDirectory(const ScratchDirectory&) = delete;
    ScratchDirectory& operator=(const ScratchDirectory&) = delete;
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

}  // namespace berth::engine
