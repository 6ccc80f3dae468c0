
use std::ffi::c_void;
use napi::sys;
#[repr(C)]
struct P { data: *mut c_void, rest: [u64; 64] , env: sys::napi_env, func: sys::napi_ref, ctx: sys::napi_async_context }
type Init = unsafe extern "C" fn(*mut c_void, *mut c_void, unsafe extern "C" fn(*mut c_void)) -> i32;
type Send = unsafe extern "C" fn(*mut c_void) -> i32;
static SEND: std::sync::OnceLock<Send> = std::sync::OnceLock::new();
unsafe extern "C" fn on(h: *mut c_void) { unsafe {
  let p = &*(h as *mut P);
  let mut scope = std::ptr::null_mut();
  sys::napi_open_handle_scope(p.env, &mut scope);
  let mut f = std::ptr::null_mut(); sys::napi_get_reference_value(p.env, p.func, &mut f);
  let mut g = std::ptr::null_mut(); sys::napi_get_global(p.env, &mut g);
  let mut r = std::ptr::null_mut();
  sys::napi_make_callback(p.env, p.ctx, g, f, 0, std::ptr::null(), &mut r);
  sys::napi_close_handle_scope(p.env, scope);
}}
pub fn make(env: sys::napi_env, f: sys::napi_value) -> usize { unsafe {
  let mut lp = std::ptr::null_mut();
  sys::napi_get_uv_event_loop(env, &mut lp);
  let mut func = std::ptr::null_mut(); sys::napi_create_reference(env, f, 1, &mut func);
  let mut name = std::ptr::null_mut(); sys::napi_create_string_utf8(env, c"wake".as_ptr(), 4, &mut name);
  let mut ctx = std::ptr::null_mut(); sys::napi_async_init(env, std::ptr::null_mut(), name, &mut ctx);
  let init: Init = std::mem::transmute(libc::dlsym(libc::RTLD_DEFAULT, c"uv_async_init".as_ptr()));
  let send: Send = std::mem::transmute(libc::dlsym(libc::RTLD_DEFAULT, c"uv_async_send".as_ptr()));
  let unref: unsafe extern "C" fn(*mut c_void) = std::mem::transmute(libc::dlsym(libc::RTLD_DEFAULT, c"uv_unref".as_ptr()));
  SEND.get_or_init(|| send);
  let p = Box::into_raw(Box::new(P { data: std::ptr::null_mut(), rest: [0; 64], env, func, ctx }));
  init(lp.cast(), p.cast(), on); unref(p.cast());
  p as usize
}}
pub fn send(p: usize) { unsafe { SEND.get().unwrap()(p as *mut c_void); } }
pub fn slack() { unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1000); } }
