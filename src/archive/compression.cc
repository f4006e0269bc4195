#include "archive/compression.h"

#include <zlib.h>

#include <cstring>

#include "archive/decoders.h"
#include "base/error.h"

namespace berth::archive {
namespace {

using namespace std::string_view_literals;

// The bytes that were read for sniffing, then the rest of the stream.
class JoinedSource final : public Source {
  public:
    JoinedSource(std::string_view head, Source& rest) : head_(head), rest_(rest) {}
    std::size_t read(std::span<char> buffer) override {
        const std::size_t count = head_.read(buffer);
        return count != 0 ? count : rest_.read(buffer);
    }

  private:
    MemorySource head_;
    Source& rest_;
};

}  // namespace

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

DecompressSource::DecompressSource(Source& below) : head_(kSniffSize, '\0') {
    head_.resize(read_full(below, head_));
    compression_ = sniff(head_);
    joined_ = std::make_unique<JoinedSource>(head_, below);
    switch (compression_) {
        case Compression::none:
            break;
        case Compression::gzip:
            decoder_ = make_gzip_decoder(*joined_);
            break;
        case Compression::zstd:
            decoder_ = make_zstd_decoder(*joined_);
            break;
        case Compression::xz:
            decoder_ = make_xz_decoder(*joined_);
            break;
        case Compression::bzip2:
            decoder_ = make_bzip2_decoder(*joined_);
            break;
    }
}

DecompressSource::~DecompressSource() = default;

std::size_t DecompressSource::read(std::span<char> buffer) {
    return decoder_ ? decoder_->read(buffer) : joined_->read(buffer);
}

std::unique_ptr<Source> decompress(Source& below) {
    return std::make_unique<DecompressSource>(below);
}

struct GzipSink::State final {
    explicit State(Sink& sink) : below(sink), output(kBlockSize, '\0') {
        constexpr int kGzipWindow = 15 + 16;
        if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzipWindow, 8,
                         Z_DEFAULT_STRATEGY) != Z_OK)
            throw Error(ErrorKind::internal, "starting gzip compression failed");
    }
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() { deflateEnd(&stream); }

    void run(std::string_view bytes, int flush) {
        stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
        stream.avail_in = static_cast<uInt>(bytes.size());
        int result = Z_OK;
        do {
            stream.next_out = reinterpret_cast<Bytef*>(output.data());
            stream.avail_out = static_cast<uInt>(output.size());
            result = deflate(&stream, flush);
            if (result == Z_STREAM_ERROR)
                throw Error(ErrorKind::internal, "gzip compression failed");
            below.write(std::string_view(output).substr(0, output.size() - stream.avail_out));
        } while (stream.avail_out == 0);
    }

    Sink& below;
    std::string output;
    z_stream stream{};
};

GzipSink::GzipSink(Sink& below) : state_(std::make_unique<State>(below)) {}
GzipSink::~GzipSink() = default;

void GzipSink::write(std::string_view bytes) {
    constexpr std::size_t kStep = 1U << 30;  // zlib counts in 32 bits
    for (; !bytes.empty(); bytes.remove_prefix(std::min(kStep, bytes.size())))
        state_->run(bytes.substr(0, kStep), Z_NO_FLUSH);
}

void GzipSink::finish() { state_->run({}, Z_FINISH); }

}  // namespace berth::archive
