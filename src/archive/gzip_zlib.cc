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

/// Each step takes a whole block and empties the output, so that the bytes depend on the content
/// alone.
class GzipEncoder final : public Source {
  public:
    explicit GzipEncoder(Source& below)
        : below_(below), input_(kBlockSize, '\0'), output_(kBlockSize, '\0') {
        constexpr int kGzipWindow = 15 + 16;
        if (deflateInit2(&stream_, Z_BEST_SPEED, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY) !=
            Z_OK)
            throw Error(ErrorKind::internal, "starting gzip compression failed");
    }
    ~GzipEncoder() override { deflateEnd(&stream_); }

    std::size_t read(std::span<char> buffer) override {
        while (pending_.empty() && !ended_) step();
        const std::size_t count = std::min(buffer.size(), pending_.size());
        std::copy_n(pending_.begin(), count, buffer.begin());
        pending_.remove_prefix(count);
        return count;
    }

  private:
    void step() {
        if (stream_.avail_in == 0 && !input_ended_) {
            const std::size_t count = read_full(below_, input_);
            input_ended_ = count < input_.size();
            stream_.next_in = reinterpret_cast<Bytef*>(input_.data());
            stream_.avail_in = static_cast<uInt>(count);
        }
        stream_.next_out = reinterpret_cast<Bytef*>(output_.data());
        stream_.avail_out = static_cast<uInt>(output_.size());
        const int result = deflate(&stream_, input_ended_ ? Z_FINISH : Z_NO_FLUSH);
        if (result == Z_STREAM_ERROR) throw Error(ErrorKind::internal, "gzip compression failed");
        pending_ = std::string_view(output_).substr(0, output_.size() - stream_.avail_out);
        ended_ = result == Z_STREAM_END;
    }

    Source& below_;
    std::string input_;
    std::string output_;
    z_stream stream_{};
    std::string_view pending_;  // of output_, not read yet
    bool input_ended_ = false;
    bool ended_ = false;
};

}  // namespace

std::unique_ptr<Source> make_gzip_decoder(Source& below) {
    return std::make_unique<GzipDecoder>(below);
}

std::unique_ptr<Source> compress_gzip(Source& below) {
    return std::make_unique<GzipEncoder>(below);
}

}  // namespace berth::archive
