declare module "*.jinja" {
  const text: string;
  export default text;
}
