#include "grpc/http2_library.h"

#include "base/dynamic_library.h"

namespace berth::grpc {
namespace {

Http2Library load() {
    void* const library = ::dlopen("libnghttp2.so.14", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr)
        throw Error(ErrorKind::unsupported,
                    "BuildKit clients cannot be served: libnghttp2.so.14 cannot be loaded "
                    "(install libnghttp2-14)");
    Http2Library h2{};
    const auto bind = [library](auto& function, const char* name) {
        bind_function(library, "libnghttp2.so.14", function, name);
    };
    bind(h2.callbacks_new, "nghttp2_session_callbacks_new");
    bind(h2.callbacks_del, "nghttp2_session_callbacks_del");
    bind(h2.on_begin_headers, "nghttp2_session_callbacks_set_on_begin_headers_callback");
    bind(h2.on_header, "nghttp2_session_callbacks_set_on_header_callback");
    bind(h2.on_frame_recv, "nghttp2_session_callbacks_set_on_frame_recv_callback");
    bind(h2.on_data_chunk_recv, "nghttp2_session_callbacks_set_on_data_chunk_recv_callback");
    bind(h2.on_stream_close, "nghttp2_session_callbacks_set_on_stream_close_callback");
    bind(h2.option_new, "nghttp2_option_new");
    bind(h2.option_del, "nghttp2_option_del");
    bind(h2.option_set_no_auto_window_update, "nghttp2_option_set_no_auto_window_update");
    bind(h2.session_server_new2, "nghttp2_session_server_new2");
    bind(h2.session_client_new2, "nghttp2_session_client_new2");
    bind(h2.session_del, "nghttp2_session_del");
    bind(h2.session_mem_recv, "nghttp2_session_mem_recv");
    bind(h2.session_mem_send, "nghttp2_session_mem_send");
    bind(h2.session_want_read, "nghttp2_session_want_read");
    bind(h2.session_want_write, "nghttp2_session_want_write");
    bind(h2.session_set_local_window_size, "nghttp2_session_set_local_window_size");
    bind(h2.session_consume_connection, "nghttp2_session_consume_connection");
    bind(h2.session_consume_stream, "nghttp2_session_consume_stream");
    bind(h2.session_resume_data, "nghttp2_session_resume_data");
    bind(h2.submit_settings, "nghttp2_submit_settings");
    bind(h2.submit_request, "nghttp2_submit_request");
    bind(h2.submit_response, "nghttp2_submit_response");
    bind(h2.submit_trailer, "nghttp2_submit_trailer");
    bind(h2.submit_rst_stream, "nghttp2_submit_rst_stream");
    bind(h2.strerror, "nghttp2_strerror");
    return h2;
}

}  // namespace

const Http2Library& Http2Library::get() {
    static const Http2Library kLibrary = load();
    return kLibrary;
}

}  // namespace berth::grpc
