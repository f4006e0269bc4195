#include "base/frames.h"

#include <algorithm>

#include "base/error.h"

namespace berth {

namespace {
constexpr std::size_t kFrameHeader = 8;
constexpr int kLastStream = 3;  // "daemon error inside the stream"
}  // namespace

std::string frame_header(unsigned char stream, std::size_t length) {
    std::string header{static_cast<char>(stream), 0, 0, 0};
    for (const unsigned shift : {24U, 16U, 8U, 0U}) header += static_cast<char>(length >> shift);
    return header;
}

void FrameSplitter::feed(std::string_view bytes) {
    while (!bytes.empty()) {
        if (left_ == 0) {
            const std::size_t take = std::min(kFrameHeader - header_.size(), bytes.size());
            header_ += bytes.substr(0, take);
            bytes.remove_prefix(take);
            if (header_.size() < kFrameHeader) return;
            stream_ = static_cast<unsigned char>(header_[0]);
            if (stream_ > kLastStream)
                throw Error(ErrorKind::invalid, "unrecognized stream {} in the engine's answer",
                            stream_);
            for (std::size_t i = 4; i < kFrameHeader; ++i)
                left_ = left_ << 8 | static_cast<unsigned char>(header_[i]);
            header_.clear();
            continue;
        }
        const std::string_view part = bytes.substr(0, left_);
        sink_(stream_, part);
        left_ -= part.size();
        bytes.remove_prefix(part.size());
    }
}

}  // namespace berth
