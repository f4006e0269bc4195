// The log driver `local`: records in the binary form of Docker's driver of that name, in a file
// that rotates and is compressed. A record is its length (32 bits, big-endian), a protocol buffer
// {1 source, 2 time in ns, 3 line, 4 partial, 5 {1 last, 2 id, 3 ordinal}}, and the length again.
#pragma once

#include <string>

#include "base/clock.h"
#include "shim/log_driver.h"
#include "shim/log_file.h"
#include "shim/log_pieces.h"

namespace berth::shim {

std::string encode_local_record(unsigned char stream, const LogPiece& piece, Timestamp at);

class LocalLog final : public LogDriver {
  public:
    explicit LocalLog(const LogConfig& config) : file_(config) {}

    void write(unsigned char stream, std::string_view bytes) override;
    void end(unsigned char stream) override;

  private:
    LogFile file_;
    LogPieces out_, err_;
};

}  // namespace berth::shim
