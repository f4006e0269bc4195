#include "archive/decoders.h"

#include <bzlib.h>
#include <lzma.h>
#include <zstd.h>

#include <string>

#include "base/error.h"

namespace berth::archive {
namespace {

[[noreturn]] void throw_truncated(std::string_view format) {
    throw Error(ErrorKind::invalid, "{} stream is truncated", format);
}

class ZstdDecoder final : public Source {
  public:
    explicit ZstdDecoder(Source& below)
        : below_(below), input_(ZSTD_DStreamInSize(), '\0'), stream_(ZSTD_createDStream()) {
        if (!stream_) throw Error(ErrorKind::internal, "starting zstd decompression failed");
        // 128 MiB: what the zstd program accepts without being asked, and `zstd --ultra -22` makes.
        ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, 27);
    }
    std::size_t read(std::span<char> buffer) override {
        ZSTD_outBuffer out{buffer.data(), buffer.size(), 0};
        while (out.pos == 0 && !buffer.empty()) {
            if (view_.pos == view_.size) {
                view_ = {input_.data(), below_.read(input_), 0};
                if (view_.size == 0 && inside_frame_) throw_truncated("zstd");
                if (view_.size == 0) return 0;
            }
            const std::size_t result = ZSTD_decompressStream(stream_.get(), &out, &view_);
            if (ZSTD_isError(result))
                throw Error(ErrorKind::invalid, "zstd stream is corrupt: {}",
                            ZSTD_getErrorName(result));
            inside_frame_ = result != 0;
        }
        return out.pos;
    }

  private:
    struct Free {
        void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
    };
    Source& below_;
    std::string input_;
    std::unique_ptr<ZSTD_DStream, Free> stream_;
    ZSTD_inBuffer view_{nullptr, 0, 0};
    bool inside_frame_ = true;
};

class XzDecoder final : public Source {
  public:
    explicit XzDecoder(Source& below) : below_(below), input_(kBlockSize, '\0') {
        constexpr std::uint64_t kMaxMemory = 256U << 20;
        if (lzma_stream_decoder(&stream_, kMaxMemory, LZMA_CONCATENATED) != LZMA_OK)
            throw Error(ErrorKind::internal, "starting xz decompression failed");
    }
    ~XzDecoder() override { lzma_end(&stream_); }
    std::size_t read(std::span<char> buffer) override {
        if (ended_) return 0;
        stream_.next_out = reinterpret_cast<std::uint8_t*>(buffer.data());
        stream_.avail_out = buffer.size();
        while (stream_.avail_out == buffer.size()) {
            if (stream_.avail_in == 0 && action_ == LZMA_RUN) {
                stream_.next_in = reinterpret_cast<const std::uint8_t*>(input_.data());
                stream_.avail_in = below_.read(input_);
                if (stream_.avail_in == 0) action_ = LZMA_FINISH;
            }
            const lzma_ret result = lzma_code(&stream_, action_);
            if (result == LZMA_STREAM_END) {
                ended_ = true;
                break;
            }
            if (result == LZMA_BUF_ERROR && action_ == LZMA_FINISH) throw_truncated("xz");
            if (result == LZMA_MEMLIMIT_ERROR)
                throw Error(ErrorKind::invalid, "xz stream needs more than 256 MiB of memory");
            if (result != LZMA_OK)
                throw Error(ErrorKind::invalid, "xz stream is corrupt (code {})",
                            static_cast<int>(result));
        }
        return buffer.size() - stream_.avail_out;
    }

  private:
    Source& below_;
    std::string input_;
    lzma_stream stream_ = LZMA_STREAM_INIT;
    lzma_action action_ = LZMA_RUN;
    bool ended_ = false;
};

class Bzip2Decoder final : public Source {
  public:
    explicit Bzip2Decoder(Source& below) : below_(below), input_(kBlockSize, '\0') { start(); }
    ~Bzip2Decoder() override { BZ2_bzDecompressEnd(&stream_); }
    std::size_t read(std::span<char> buffer) override {
        const auto room = static_cast<unsigned>(std::min(buffer.size(), kBlockSize));
        stream_.next_out = buffer.data();
        stream_.avail_out = room;
        while (stream_.avail_out == room && !ended_) {
            if (stream_.avail_in == 0 && !refill()) {
                if (inside_member_) throw_truncated("bzip2");
                ended_ = true;
                break;
            }
            step();
        }
        return room - stream_.avail_out;
    }

  private:
    void start() {
        if (BZ2_bzDecompressInit(&stream_, 0, 0) != BZ_OK)
            throw Error(ErrorKind::internal, "starting bzip2 decompression failed");
    }
    bool refill() {
        stream_.next_in = input_.data();
        stream_.avail_in = static_cast<unsigned>(below_.read(input_));
        return stream_.avail_in != 0;
    }
    void step() {
        inside_member_ = true;
        const int result = BZ2_bzDecompress(&stream_);
        if (result == BZ_STREAM_END) {  // another member may follow, as pbzip2 writes them
            const bz_stream rest = stream_;
            BZ2_bzDecompressEnd(&stream_);
            stream_ = bz_stream{};
            start();
            stream_.next_in = rest.next_in;
            stream_.avail_in = rest.avail_in;
            stream_.next_out = rest.next_out;
            stream_.avail_out = rest.avail_out;
            inside_member_ = false;
        } else if (result != BZ_OK) {
            throw Error(ErrorKind::invalid, "bzip2 stream is corrupt (code {})", result);
        }
    }
    Source& below_;
    std::string input_;
    bz_stream stream_{};
    bool inside_member_ = true;
    bool ended_ = false;
};

}  // namespace

std::unique_ptr<Source> make_zstd_decoder(Source& below) {
    return std::make_unique<ZstdDecoder>(below);
}
std::unique_ptr<Source> make_xz_decoder(Source& below) {
    return std::make_unique<XzDecoder>(below);
}
std::unique_ptr<Source> make_bzip2_decoder(Source& below) {
    return std::make_unique<Bzip2Decoder>(below);
}

}  // namespace berth::archive
