#include "grpc/http2_library.h"

#include <dlfcn.h>

#include "base/error.h"

namespace berth::grpc {
namespace {

template <typename Function>
void bind(void* library, Function& function, const char* name) {
    function = reinterpret_cast<Function>(::dlsym(library, name));
    if (function == nullptr)
        throw Error(ErrorKind::unsupported, "libnghttp2.so.14 has no function {}", name);
}

Http2Library load() {
    void* const library = ::dlopen("libnghttp2.so.14", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr)
        throw Error(ErrorKind::unsupported,
                    "BuildKit clients cannot be served: libnghttp2.so.14 cannot be loaded "
                    "(install libnghttp2-14)");
    Http2Library h2{};
    bind(library, h2.callbacks_new, "nghttp2_session_callbacks_new");
    bind(library, h2.callbacks_del, "nghttp2_session_callbacks_del");
    bind(library, h2.on_begin_headers, "nghttp2_session_callbacks_set_on_begin_headers_callback");
    bind(library, h2.on_header, "nghttp2_session_callbacks_set_on_header_callback");
    bind(library, h2.on_frame_recv, "nghttp2_session_callbacks_set_on_frame_recv_callback");
    bind(library, h2.on_data_chunk_recv,
         "nghttp2_session_callbacks_set_on_data_chunk_recv_callback");
    bind(library, h2.on_stream_close, "nghttp2_session_callbacks_set_on_stream_close_callback");
    bind(library, h2.option_new, "nghttp2_option_new");
    bind(library, h2.option_del, "nghttp2_option_del");
    bind(library, h2.option_set_no_auto_window_update, "nghttp2_option_set_no_auto_window_update");
    bind(library, h2.session_server_new2, "nghttp2_session_server_new2");
    bind(library, h2.session_client_new2, "nghttp2_session_client_new2");
    bind(library, h2.session_del, "nghttp2_session_del");
    bind(library, h2.session_mem_recv, "nghttp2_session_mem_recv");
    bind(library, h2.session_mem_send, "nghttp2_session_mem_send");
    bind(library, h2.session_want_read, "nghttp2_session_want_read");
    bind(library, h2.session_want_write, "nghttp2_session_want_write");
    bind(library, h2.session_set_local_window_size, "nghttp2_session_set_local_window_size");
    bind(library, h2.session_consume_connection, "nghttp2_session_consume_connection");
    bind(library, h2.session_consume_stream, "nghttp2_session_consume_stream");
    bind(library, h2.session_resume_data, "nghttp2_session_resume_data");
    bind(library, h2.submit_settings, "nghttp2_submit_settings");
    bind(library, h2.submit_request, "nghttp2_submit_request");
    bind(library, h2.submit_response, "nghttp2_submit_response");
    bind(library, h2.submit_trailer, "nghttp2_submit_trailer");
    bind(library, h2.submit_rst_stream, "nghttp2_submit_rst_stream");
    bind(library, h2.strerror, "nghttp2_strerror");
    return h2;
}

}  // namespace

const Http2Library& Http2Library::get() {
    static const Http2Library kLibrary = load();
    return kLibrary;
}

}  // namespace berth::grpc
