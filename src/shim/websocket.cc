#include "shim/websocket.h"

#include <algorithm>

namespace berth::shim {
namespace {

constexpr unsigned kBinary = 2;
constexpr unsigned kClose = 8;
constexpr unsigned kPing = 9;
constexpr unsigned kPong = 10;
constexpr unsigned kFinal = 0x80;
constexpr std::size_t kMaxControl = 125;

unsigned byte_at(std::string_view bytes, std::size_t at) {
    return static_cast<unsigned char>(bytes[at]);
}

std::string header(unsigned opcode, std::size_t size) {
    std::string bytes(1, static_cast<char>(kFinal | opcode));
    const int width = size <= kMaxControl ? 0 : size <= 0xffff ? 2 : 8;
    bytes += static_cast<char>(width == 0 ? size : width == 2 ? 126 : 127);
    for (int i = width; i-- > 0;) bytes += static_cast<char>(size >> (8U * i));
    return bytes;
}

/// Bytes of a frame's head, by its first two: length and mask follow them.
std::size_t head_size(std::string_view two) {
    const unsigned length = byte_at(two, 1) & 0x7fU;
    return 2 + 4 + (length == 126 ? 2 : length == 127 ? 8 : 0);
}

}  // namespace

std::string websocket_header(std::size_t size) { return header(kBinary, size); }

std::string websocket_close() {
    return header(kClose, 2) + std::string("\x03\xe8", 2);  // 1000: normal closure
}

WebsocketInput::Result WebsocketInput::feed(std::string_view bytes) {
    Result result;
    while (!ended_ && (!bytes.empty() || in_body_)) {
        if (!in_body_ && !take_head(bytes, result)) break;
        take_body(bytes, result);
        if (done_ < length_) break;
        end_frame(result);
    }
    result.ended = ended_;
    return result;
}

/// False while the head is not whole, or when it is none.
bool WebsocketInput::take_head(std::string_view& bytes, Result& result) {
    while (!bytes.empty() && (head_.size() < 2 || head_.size() < head_size(head_))) {
        head_ += bytes.front();
        bytes.remove_prefix(1);
    }
    if (head_.size() < 2 || head_.size() < head_size(head_)) return false;
    opcode_ = byte_at(head_, 0) & 0xfU;
    length_ = byte_at(head_, 1) & 0x7fU;
    const std::size_t mask_at = head_.size() - 4;
    if (length_ > kMaxControl) {
        length_ = 0;
        for (std::size_t i = 2; i < mask_at; ++i) length_ = length_ << 8U | byte_at(head_, i);
    }
    for (std::size_t i = 0; i < 4; ++i)
        mask_[i] = static_cast<unsigned char>(byte_at(head_, mask_at + i));
    const bool masked = (byte_at(head_, 1) & 0x80U) != 0;
    const bool oversized = opcode_ >= kClose && length_ > kMaxControl;
    ended_ = !masked || oversized || (opcode_ > kBinary && opcode_ < kClose) || opcode_ > kPong;
    head_.clear();
    control_.clear();
    done_ = 0;
    in_body_ = !ended_;
    result.ended = ended_;
    return !ended_;
}

void WebsocketInput::take_body(std::string_view& bytes, Result& result) {
    const auto size =
        static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), length_ - done_));
    std::string& target = opcode_ >= kClose ? control_ : result.payload;
    for (std::size_t i = 0; i < size; ++i)
        target += static_cast<char>(byte_at(bytes, i) ^ mask_[(done_ + i) % 4]);
    bytes.remove_prefix(size);
    done_ += size;
}

void WebsocketInput::end_frame(Result& result) {
    in_body_ = false;
    if (opcode_ == kPing) result.replies += header(kPong, control_.size()) + control_;
    if (opcode_ == kClose) ended_ = true;
}

}  // namespace berth::shim
