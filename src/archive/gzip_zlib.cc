// Gzip through zlib, where ISA-L is not to be had.
#include <zlib.h>

#include <algorithm>
#include <string>

#include "archive/compression.h"
#include "archive/decoders.h"
#include "base/error.h"

namespace berth::archive {
namespace {

class GzipDecoder final : public Source {
  public:
    explicit GzipDecoder(Source& below) : below_(below), input_(kBlockSize, '\0') {
        constexpr int kGzipWindow = 15 + 16;
        if (inflateInit2(&stream_, kGzipWindow) != Z_OK)
            throw Error(ErrorKind::internal, "starting gzip decompression failed");
    }
    ~GzipDecoder() override { inflateEnd(&stream_); }

    std::size_t read(std::span<char> buffer) override {
        const auto room = static_cast<uInt>(std::min(buffer.size(), kBlockSize));
        stream_.next_out = reinterpret_cast<Bytef*>(buffer.data());
        stream_.avail_out = room;
        while (stream_.avail_out == room && !ended_) step();
        return room - stream_.avail_out;
    }

  private:
    void step() {
        if (stream_.avail_in == 0) {
            stream_.next_in = reinterpret_cast<Bytef*>(input_.data());
            stream_.avail_in = static_cast<uInt>(below_.read(input_));
            if (stream_.avail_in == 0 && inside_member_)
                throw Error(ErrorKind::invalid, "gzip stream is truncated");
        }
        if (!inside_member_) {
            ended_ = stream_.avail_in == 0 || *stream_.next_in != 0x1f;
            if (ended_) return;
            inflateReset(&stream_);
            inside_member_ = true;
        }
        const int result = inflate(&stream_, Z_NO_FLUSH);
        if (result == Z_STREAM_END)
            inside_member_ = false;
        else if (result != Z_OK && result != Z_BUF_ERROR)
            throw Error(ErrorKind::invalid, "gzip stream is corrupt (code {})", result);
    }

    Source& below_;
    std::string input_;
    z_stream stream_{};
    bool inside_member_ = true;
    bool ended_ = false;
};

}  // namespace

struct GzipSink::State final {
    explicit State(Sink& sink) : below(sink), output(kBlockSize, '\0') {
        constexpr int kGzipWindow = 15 + 16;
        if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY) !=
            Z_OK)
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

std::unique_ptr<Source> make_gzip_decoder(Source& below) {
    return std::make_unique<GzipDecoder>(below);
}

}  // namespace berth::archive
