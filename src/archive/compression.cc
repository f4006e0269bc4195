#include "archive/compression.h"

#include <cstring>

#include "archive/decoders.h"
#include "base/error.h"

namespace berth::archive {

using namespace std::string_view_literals;

// The bytes that were read for sniffing, then the rest of the stream; counted.
class DecompressSource::Input final : public Source {
  public:
    Input(std::string_view head, Source& rest) : head_(head), rest_(rest) {}
    std::size_t read(std::span<char> buffer) override {
        std::size_t count = head_.read(buffer);
        if (count == 0) count = rest_.read(buffer);
        size_ += count;
        return count;
    }
    std::uint64_t size() const { return size_; }

  private:
    MemorySource head_;
    Source& rest_;
    std::uint64_t size_ = 0;
};

std::string_view to_string(Compression compression) {
    switch (compression) {
        case Compression::none:
            return "none";
        case Compression::gzip:
            return "gzip";
        case Compression::zstd:
            return "zstd";
        case Compression::xz:
            return "xz";
        case Compression::bzip2:
            return "bzip2";
    }
    return "none";
}

Compression sniff(std::string_view first) {
    if (first.starts_with("\x1f\x8b\x08"sv)) return Compression::gzip;
    if (first.starts_with("\x28\xb5\x2f\xfd"sv)) return Compression::zstd;
    // A zstd stream may open with a skippable frame (0x184D2A50 to 0x184D2A5F).
    if (first.size() >= 4 && (first[0] & 0xf0) == 0x50 && first.substr(1, 3) == "\x2a\x4d\x18"sv)
        return Compression::zstd;
    if (first.starts_with("\xfd"
                          "7zXZ\0"sv))
        return Compression::xz;
    if (first.size() >= 4 && first.starts_with("BZh"sv) && first[3] >= '1' && first[3] <= '9')
        return Compression::bzip2;
    return Compression::none;
}

DecompressSource::DecompressSource(Source& below, const Expansion& limit)
    : limit_(limit), head_(kSniffSize, '\0') {
    head_.resize(read_full(below, head_));
    compression_ = sniff(head_);
    input_ = std::make_unique<Input>(head_, below);
    switch (compression_) {
        case Compression::none:
            break;
        case Compression::gzip:
            decoder_ = make_gzip_decoder(*input_);
            break;
        case Compression::zstd:
            decoder_ = make_zstd_decoder(*input_);
            break;
        case Compression::xz:
            decoder_ = make_xz_decoder(*input_);
            break;
        case Compression::bzip2:
            decoder_ = make_bzip2_decoder(*input_);
            break;
    }
}

DecompressSource::~DecompressSource() = default;

std::size_t DecompressSource::read(std::span<char> buffer) {
    if (!decoder_) return input_->read(buffer);
    const std::size_t count = decoder_->read(buffer);
    produced_ += count;
    if (limit_.ratio != 0 && produced_ > limit_.size) check_expansion();
    return count;
}

// Input that the decoder has read ahead counts as used: a block of it is nothing here.
void DecompressSource::check_expansion() const {
    if (produced_ / limit_.ratio <= input_->size()) return;
    throw Error(ErrorKind::invalid,
                "the {} stream expands to more than {} bytes and more than {} times its size{}",
                to_string(compression_), limit_.size, limit_.ratio, raised_by(limit_.setting));
}

std::unique_ptr<Source> decompress(Source& below, const Expansion& limit) {
    return std::make_unique<DecompressSource>(below, limit);
}

namespace {

/// Takes whole blocks, so that the bytes depend on the content alone.
class GzipSource final : public Source {
  public:
    explicit GzipSource(Source& below) : below_(below), input_(kBlockSize, '\0') {}
    std::size_t read(std::span<char> buffer) override {
        while (at_ == output_.size() && !ended_) step();
        const std::size_t count = std::min(buffer.size(), output_.size() - at_);
        std::copy_n(output_.begin() + static_cast<std::ptrdiff_t>(at_), count, buffer.begin());
        at_ += count;
        return count;
    }

  private:
    void step() {
        output_.clear();
        at_ = 0;
        const std::size_t count = read_full(below_, input_);
        encoder_.write(std::string_view(input_).substr(0, count));
        ended_ = count < input_.size();
        if (ended_) encoder_.finish();
    }

    Source& below_;
    std::string input_;
    std::string output_;
    std::size_t at_ = 0;  // of output_: read up to there
    CallbackSink sink_{[this](std::string_view bytes) { output_ += bytes; }};
    GzipSink encoder_{sink_};
    bool ended_ = false;
};

}  // namespace

std::unique_ptr<Source> compress_gzip(Source& below) { return std::make_unique<GzipSource>(below); }

}  // namespace berth::archive
