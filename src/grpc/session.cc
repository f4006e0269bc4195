#include "grpc/session.h"

#include <algorithm>
#include <array>

#include "grpc/http2_library.h"

namespace berth::grpc {

namespace {
constexpr std::size_t kPrefix = 5;  // a flag and four bytes of length
constexpr std::int32_t kCallWindow = 1 << 20;
constexpr std::int32_t kConnectionWindow = 8 << 20;
constexpr std::uint32_t kMostCalls = 128;
constexpr std::size_t kMostHeaders = 256;
constexpr std::size_t kOutput = 64U << 10;

// nghttp2 copies names and values.
std::vector<nghttp2_nv> headers_of(const Metadata& metadata) {
    std::vector<nghttp2_nv> headers;
    headers.reserve(metadata.size());
    const auto bytes = [](const std::string& text) {
        return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
    };
    for (const auto& [name, value] : metadata)
        headers.push_back(
            {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE});
    return headers;
}

Metadata trailers_of(const Status& status) {
    Metadata trailers{{"grpc-status", std::to_string(static_cast<int>(status.code))}};
    if (!status.message.empty())
        trailers.emplace_back("grpc-message", encode_message(status.message));
    return trailers;
}

void check(ssize_t result, const char* what) {
    if (result < 0)
        throw Error(ErrorKind::invalid, "{}: {}", what,
                    Http2Library::get().strerror(static_cast<int>(result)));
}
}  // namespace

std::string_view find(const Metadata& metadata, std::string_view name) {
    const auto found = std::find_if(metadata.begin(), metadata.end(),
                                    [&](const auto& entry) { return entry.first == name; });
    return found == metadata.end() ? std::string_view() : std::string_view(found->second);
}

// What nghttp2 calls; its user data is the Session.
struct Session::Callbacks final {
    static Session& self(void* user) { return *static_cast<Session*>(user); }

    static int begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
        Session& session = self(user);
        const bool request = frame->headers.cat == NGHTTP2_HCAT_REQUEST;
        if (session.role_ == Role::server && request) {
            const auto call = std::make_shared<CallState>();
            call->id = frame->hd.stream_id;
            session.calls_.emplace(call->id, call);
        }
        return 0;
    }

    static int header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                      std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                      std::uint8_t, void* user) {
        Session& session = self(user);
        const auto call = session.find_call(frame->hd.stream_id);
        if (!call) return 0;
        Metadata& into = session.role_ == Role::server ? call->metadata : call->response;
        if (into.size() >= kMostHeaders) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        std::string key(reinterpret_cast<const char*>(name), name_size);
        std::string text(reinterpret_cast<const char*>(value), value_size);
        if (session.role_ == Role::server && key == ":path") call->method = text;
        into.emplace_back(std::move(key), std::move(text));
        return 0;
    }

    static int frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
        Session& session = self(user);
        const auto call = session.find_call(frame->hd.stream_id);
        const auto type = frame->hd.type;
        if (!call || (type != NGHTTP2_HEADERS && type != NGHTTP2_DATA)) return 0;
        if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) call->remote_done = true;
        if (type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
            session.begun_.push_back(call);
        call->changed.notify_all();
        return 0;
    }

    static int data(nghttp2_session* raw, std::uint8_t, std::int32_t id, const std::uint8_t* bytes,
                    std::size_t size, void* user) {
        Session& session = self(user);
        // The connection's window never waits for a slow reader: other calls share it.
        Http2Library::get().session_consume_connection(raw, size);
        if (const auto call = session.find_call(id))
            session.take_data(*call, std::string_view(reinterpret_cast<const char*>(bytes), size));
        return 0;
    }

    static int closed(nghttp2_session*, std::int32_t id, std::uint32_t error, void* user) {
        Session& session = self(user);
        const auto call = session.find_call(id);
        if (!call) return 0;
        session.calls_.erase(id);
        call->closed = true;
        if (error != NGHTTP2_NO_ERROR && !call->remote_done && !call->failure)
            call->failure = Error(ErrorKind::cancelled, "the other side ended the call");
        call->changed.notify_all();
        session.ended_.push_back(call);
        return 0;
    }

    static ssize_t read(nghttp2_session* raw, std::int32_t, std::uint8_t* into, std::size_t size,
                        std::uint32_t* flags, nghttp2_data_source* source, void* user) {
        auto& call = *static_cast<CallState*>(source->ptr);
        const std::size_t taken = std::min(size, call.outgoing.size() - call.sent);
        std::copy_n(call.outgoing.data() + call.sent, taken, reinterpret_cast<char*>(into));
        call.sent += taken;
        const bool all = call.sent == call.outgoing.size();
        if (all) {
            call.outgoing.clear();
            call.sent = 0;
        }
        call.changed.notify_all();
        if (!all || !call.local_done)
            return taken > 0 ? static_cast<ssize_t>(taken)
                             : static_cast<ssize_t>(NGHTTP2_ERR_DEFERRED);
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (self(user).role_ == Role::server) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            const Metadata trailers = trailers_of(call.status.value_or(Status()));
            const auto headers = headers_of(trailers);
            Http2Library::get().submit_trailer(raw, call.id, headers.data(), headers.size());
        }
        return static_cast<ssize_t>(taken);
    }
};

Session::Session(Role role, Notices notices) : role_(role), notices_(std::move(notices)) {
    const Http2Library& h2 = Http2Library::get();
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_option* options = nullptr;
    if (h2.callbacks_new(&callbacks) != 0 || h2.option_new(&options) != 0) throw std::bad_alloc();
    h2.on_begin_headers(callbacks, Callbacks::begin_headers);
    h2.on_header(callbacks, Callbacks::header);
    h2.on_frame_recv(callbacks, Callbacks::frame);
    h2.on_data_chunk_recv(callbacks, Callbacks::data);
    h2.on_stream_close(callbacks, Callbacks::closed);
    h2.option_set_no_auto_window_update(options, 1);
    const auto make = role == Role::server ? h2.session_server_new2 : h2.session_client_new2;
    const int made = make(&session_, callbacks, this, options);
    h2.option_del(options);
    h2.callbacks_del(callbacks);
    check(made, "starting HTTP/2");
    const std::array<nghttp2_settings_entry, 2> settings{
        nghttp2_settings_entry{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kCallWindow},
        nghttp2_settings_entry{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kMostCalls}};
    h2.submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
    h2.session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow);
}

Session::~Session() {
    end();
    Http2Library::get().session_del(session_);
}

CallPointer Session::find_call(std::int32_t id) const {
    const auto found = calls_.find(id);
    return found == calls_.end() ? nullptr : found->second;
}

void Session::feed(std::string_view bytes) {
    const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
    check(Http2Library::get().session_mem_recv(session_, data, bytes.size()),
          "reading from an HTTP/2 connection");
    for (const auto& call : std::exchange(begun_, {}))
        if (notices_.on_call) notices_.on_call(call);
    for (const auto& call : std::exchange(ended_, {}))
        if (!call->local_done) call->cancel.cancel();
    notices_.on_output();
}

std::string Session::output() {
    std::string bytes;
    while (bytes.size() < kOutput) {
        const std::uint8_t* piece = nullptr;
        const ssize_t size = Http2Library::get().session_mem_send(session_, &piece);
        check(size, "writing to an HTTP/2 connection");
        if (size == 0) break;
        bytes.append(reinterpret_cast<const char*>(piece), static_cast<std::size_t>(size));
    }
    ended_.clear();  // by our own last frame: nobody is left to cancel
    return bytes;
}

bool Session::finished() const {
    const Http2Library& h2 = Http2Library::get();
    return h2.session_want_read(session_) == 0 && h2.session_want_write(session_) == 0;
}

void Session::end() {
    for (const auto& [id, call] : std::exchange(calls_, {})) {
        call->closed = true;
        if (!call->failure)
            call->failure = Error(ErrorKind::cancelled, "the connection was closed");
        call->changed.notify_all();
        if (!call->local_done) call->cancel.cancel();
    }
}

void Session::take_data(CallState& call, std::string_view bytes) {
    call.unconsumed += bytes.size();
    call.partial += bytes;
    split_messages(call);
    if (call.messages.empty()) give_window(call);
    call.changed.notify_all();
}

void Session::split_messages(CallState& call) {
    std::size_t at = 0;
    while (call.partial.size() - at >= kPrefix) {
        const auto* head = reinterpret_cast<const unsigned char*>(call.partial.data() + at);
        const std::size_t size = std::size_t{head[1]} << 24 | std::size_t{head[2]} << 16 |
                                 std::size_t{head[3]} << 8 | std::size_t{head[4]};
        if (head[0] != 0 || size > kLargestMessage) {
            call.failure = Error(ErrorKind::invalid, "a message is compressed or too large");
            call.partial.clear();
            Http2Library::get().submit_rst_stream(session_, NGHTTP2_FLAG_NONE, call.id,
                                                  NGHTTP2_CANCEL);
            return;
        }
        if (call.partial.size() - at < kPrefix + size) break;
        call.messages.push_back(call.partial.substr(at + kPrefix, size));
        at += kPrefix + size;
    }
    call.partial.erase(0, at);
}

void Session::give_window(CallState& call) {
    if (call.unconsumed == 0 || call.closed) return;
    Http2Library::get().session_consume_stream(session_, call.id,
                                               std::exchange(call.unconsumed, 0));
}

std::optional<std::string> Session::take(const CallPointer& call) {
    if (call->messages.empty()) return std::nullopt;
    std::string message = std::move(call->messages.front());
    call->messages.pop_front();
    if (call->messages.empty() && call->unconsumed > 0) {
        give_window(*call);
        notices_.on_output();
    }
    return message;
}

CallPointer Session::request(std::string method, Metadata metadata) {
    const auto call = std::make_shared<CallState>();
    call->method = method;
    call->metadata = {{":method", "POST"},
                      {":scheme", "http"},
                      {":path", std::move(method)},
                      {":authority", "localhost"},
                      {"content-type", "application/grpc"},
                      {"te", "trailers"}};
    for (auto& entry : metadata) call->metadata.push_back(std::move(entry));
    const auto headers = headers_of(call->metadata);
    nghttp2_data_provider body{};
    body.source.ptr = call.get();
    body.read_callback = Callbacks::read;
    call->id = Http2Library::get().submit_request(session_, nullptr, headers.data(), headers.size(),
                                                  &body, nullptr);
    check(call->id, "making a call");
    calls_.emplace(call->id, call);
    notices_.on_output();
    return call;
}

void Session::resume(CallState& call) {
    if (!call.closed) Http2Library::get().session_resume_data(session_, call.id);
    notices_.on_output();
}

void Session::send(const CallPointer& call, std::string_view message) {
    if (call->closed || call->local_done) return;
    call->outgoing += '\0';
    for (const unsigned shift : {24U, 16U, 8U, 0U})
        call->outgoing += static_cast<char>(message.size() >> shift & 0xFF);
    call->outgoing += message;
    if (role_ == Role::server) respond(call, {});
    resume(*call);
}

void Session::respond(const CallPointer& call, Metadata metadata) {
    if (call->closed || call->responded) return;
    call->responded = true;
    Metadata all{{":status", "200"}, {"content-type", "application/grpc"}};
    for (auto& entry : metadata) all.push_back(std::move(entry));
    const auto headers = headers_of(all);
    nghttp2_data_provider body{};
    body.source.ptr = call.get();
    body.read_callback = Callbacks::read;
    Http2Library::get().submit_response(session_, call->id, headers.data(), headers.size(), &body);
    notices_.on_output();
}

void Session::finish(const CallPointer& call, std::optional<Status> status) {
    if (call->closed || call->local_done) return;
    call->local_done = true;
    call->status = std::move(status);
    if (role_ == Role::server && !call->responded) {
        call->responded = true;
        Metadata metadata{{":status", "200"}, {"content-type", "application/grpc"}};
        for (auto& entry : trailers_of(call->status.value_or(Status())))
            metadata.push_back(std::move(entry));
        const auto headers = headers_of(metadata);
        Http2Library::get().submit_response(session_, call->id, headers.data(), headers.size(),
                                            nullptr);
    }
    resume(*call);
}

void Session::reset(const CallPointer& call) {
    if (call->closed) return;
    Http2Library::get().submit_rst_stream(session_, NGHTTP2_FLAG_NONE, call->id, NGHTTP2_CANCEL);
    notices_.on_output();
}

}  // namespace berth::grpc
