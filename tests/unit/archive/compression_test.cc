#include "archive/compression.h"

#include <bzlib.h>
#include <gtest/gtest.h>
#include <lzma.h>
#include <zstd.h>

#include <algorithm>
#include <array>

#include "archive/digester.h"
#include "archive/read_ahead.h"
#include "base/error.h"

namespace berth::archive {
namespace {

std::string sample() {
    std::string text;
    for (int line = 0; line < 100'000; ++line) text += "line " + std::to_string(line) + "\n";
    return text;
}

std::string gzip(std::string_view text) {
    StringSink sink;
    GzipSink gzip(sink);
    gzip.write(text);
    gzip.finish();
    return sink.text();
}

std::string plain(std::string_view bytes) {
    MemorySource source(bytes);
    DecompressSource decompressed(source);
    return read_to_string(decompressed, 64U << 20);
}

Compression format_of(std::string_view bytes) {
    MemorySource source(bytes);
    return DecompressSource(source).compression();
}

std::string unpack_error(std::string_view bytes) {
    try {
        plain(bytes);
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::invalid);
        return error.message();
    }
    return "";
}

std::string zstd(const std::string& text) {
    std::string out(ZSTD_compressBound(text.size()), '\0');
    out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
    return out;
}

std::string xz(const std::string& text) {
    std::string out(lzma_stream_buffer_bound(text.size()), '\0');
    std::size_t size = 0;
    EXPECT_EQ(lzma_easy_buffer_encode(
                  1, LZMA_CHECK_CRC32, nullptr, reinterpret_cast<const std::uint8_t*>(text.data()),
                  text.size(), reinterpret_cast<std::uint8_t*>(out.data()), &size, out.size()),
              LZMA_OK);
    out.resize(size);
    return out;
}

std::string bzip2(std::string text) {
    std::string out(text.size() + text.size() / 100 + 700, '\0');
    auto size = static_cast<unsigned>(out.size());
    EXPECT_EQ(BZ2_bzBuffToBuffCompress(out.data(), &size, text.data(),
                                       static_cast<unsigned>(text.size()), 9, 0, 0),
              BZ_OK);
    out.resize(size);
    return out;
}

TEST(Compression, compress_gzip_depends_on_the_content_alone) {
    const std::string text = sample();
    MemorySource whole(text);
    const std::string packed = read_to_string(*compress_gzip(whole), 64U << 20);
    EXPECT_EQ(plain(packed), text);
    EXPECT_LT(packed.size(), text.size() / 3);
    MemorySource again(text);
    CallbackSource pieces([&again](std::span<char> buffer) {
        return again.read(buffer.first(std::min<std::size_t>(buffer.size(), 777)));
    });
    const auto packer = compress_gzip(pieces);
    std::string cut;
    std::array<char, 1000> piece{};
    while (const std::size_t count = packer->read(piece)) cut.append(piece.data(), count);
    EXPECT_EQ(cut, packed);
    MemorySource nothing("");
    EXPECT_EQ(plain(read_to_string(*compress_gzip(nothing), 1000)), "");
}

TEST(Compression, PassesPlainBytesOn) {
    EXPECT_EQ(plain("abc"), "abc");
    EXPECT_EQ(plain(""), "");
    EXPECT_EQ(plain(sample()), sample());
}

TEST(Compression, ReadsGzip) {
    EXPECT_EQ(format_of(gzip("x")), Compression::gzip);
    EXPECT_EQ(plain(gzip(sample())), sample());
    EXPECT_EQ(plain(gzip("")), "");
}

TEST(Compression, ReadsSeveralGzipMembers) {
    EXPECT_EQ(plain(gzip("one ") + gzip("") + gzip(sample())), "one " + sample());
}

TEST(Compression, IgnoresZerosAfterGzip) {
    EXPECT_EQ(plain(gzip("one") + std::string(1000, '\0')), "one");
}

TEST(Compression, ReadsZstdOfSeveralFrames) {
    EXPECT_EQ(format_of(zstd("x")), Compression::zstd);
    EXPECT_EQ(plain(zstd(sample()) + zstd("end")), sample() + "end");
}

TEST(Compression, ReadsXz) {
    EXPECT_EQ(format_of(xz("x")), Compression::xz);
    EXPECT_EQ(plain(xz(sample()) + xz("end")), sample() + "end");
}

TEST(Compression, ReadsBzip2) {
    EXPECT_EQ(format_of(bzip2("x")), Compression::bzip2);
    EXPECT_EQ(plain(bzip2(sample()) + bzip2("end")), sample() + "end");
}

TEST(Compression, RefusesABombAndSaysWhatRaisesTheLimit) {
    const std::string zeros(1U << 20, '\0');
    const Expansion limit{.size = 1000, .ratio = 30, .setting = "some-key"};
    for (const std::string& bomb : {gzip(zeros), zstd(zeros), xz(zeros), bzip2(zeros)}) {
        MemorySource source(bomb);
        try {
            drain(*decompress(source, limit));
            ADD_FAILURE() << "it expanded";
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::invalid);
            EXPECT_NE(error.message().find("more than 30 times its size (\"some-key\" in"),
                      std::string::npos)
                << error.message();
        }
    }
}

TEST(Compression, ExpandsBelowTheLimitsAndWithoutOne) {
    const std::string zeros(1U << 20, '\0');
    for (const Expansion& limit :
         {Expansion{}, Expansion{.size = 2U << 20, .ratio = 1}, Expansion{.size = 0, .ratio = 0}}) {
        const std::string packed = zstd(zeros);
        MemorySource source(packed);
        EXPECT_EQ(drain(*decompress(source, limit)), zeros.size());
    }
    MemorySource source(zeros);
    EXPECT_EQ(drain(*decompress(source, {.size = 0, .ratio = 1})), zeros.size());
}

TEST(Compression, ReportsTruncation) {
    const auto half = [](const std::string& bytes) { return bytes.substr(0, bytes.size() / 2); };
    EXPECT_EQ(unpack_error(half(gzip(sample()))), "gzip stream is truncated");
    EXPECT_EQ(unpack_error(half(zstd(sample()))), "zstd stream is truncated");
    EXPECT_EQ(unpack_error(half(xz(sample()))), "xz stream is truncated");
    EXPECT_EQ(unpack_error(half(bzip2(sample()))), "bzip2 stream is truncated");
}

TEST(Compression, ReportsAMissingGzipTrailer) {
    const std::string whole = gzip(sample());
    EXPECT_EQ(unpack_error(whole.substr(0, whole.size() - 4)), "gzip stream is truncated");
}

TEST(Compression, ReportsCorruption) {
    for (std::string bytes : {gzip(sample()), xz(sample()), bzip2(sample())}) {
        for (std::size_t at = bytes.size() / 2; at < bytes.size() / 2 + 64; ++at) bytes[at] ^= 0x55;
        EXPECT_NE(unpack_error(bytes), "");
    }
}

TEST(Digester, KnowsTheEmptyDigest) {
    EXPECT_EQ(sha256("").hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Digester, DigestsWhatPasses) {
    const std::string text = sample();
    MemorySource source(text);
    DigestSource digesting(source);
    EXPECT_EQ(drain(digesting), text.size());
    EXPECT_EQ(digesting.digest(), sha256(text));
    EXPECT_EQ(digesting.size(), text.size());
}

TEST(ReadAhead, GivesTheSameBytes) {
    const std::string text = sample();
    MemorySource source(text);
    ReadAheadSource ahead(source);
    EXPECT_EQ(read_to_string(ahead, 64U << 20), text);
}

TEST(ReadAhead, PassesErrorsOnAfterTheBytesBefore) {
    bool first = true;
    CallbackSource source([&](std::span<char> buffer) -> std::size_t {
        if (!first) throw Error(ErrorKind::invalid, "broken");
        first = false;
        buffer[0] = 'x';
        return 1;
    });
    ReadAheadSource ahead(source);
    std::string buffer(10, '\0');
    EXPECT_EQ(ahead.read(buffer), 1U);
    EXPECT_THROW(ahead.read(buffer), Error);
}

TEST(ReadAhead, CanBeDroppedInTheMiddle) {
    CallbackSource endless([](std::span<char> buffer) { return buffer.size(); });
    ReadAheadSource ahead(endless);
    std::string buffer(10, '\0');
    EXPECT_EQ(ahead.read(buffer), 10U);
}

TEST(LimitedSource, RefusesMoreThanItsLimit) {
    MemorySource source("12345");
    LimitedSource limited(source, 4, "the body");
    EXPECT_THROW(drain(limited), Error);
}

}  // namespace
}  // namespace berth::archive
